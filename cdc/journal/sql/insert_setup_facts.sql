-- Changes of the org's set-up that were found by comparing two readings: rows that are new, other or gone.
-- batch_kinds: what each kind's rows are called by. Who did it is what the row says, else what the audit trail said
-- of it since the reading before, an hour at the most; a line that comes later is looked at by `name_setup_facts`. Source as files is told of where its component has no rows of its own kind: those of a flow
-- or class say the same, and sooner. $org is the alias.
INSERT INTO store.setup_changes
WITH
mine AS (
    SELECT
        seq, entity, record_id, kind, user_id, effective_at,
        coalesce(try_cast(regexp_extract(scan_id, '-(\d+)-\d+$', 1) AS BIGINT), 0) AS since
    FROM batch_changes
    WHERE source = 'setup' AND entity NOT IN ('SetupAuditTrail', 'MetadataFile', 'MetadataType')
      -- Deploys are what happened, also those of before the first reading.
      AND (kind <> 'BASELINE' OR entity = 'DeployRequest')
      -- The first reading of users is no baseline, since they may be streamed too; it is no news either.
      AND (entity <> 'User' OR EXISTS (
          SELECT 1 FROM store.changes c
          WHERE c.entity = 'User' AND c.source = 'setup' AND c.scan_id <> batch_changes.scan_id
      ))
),
rows_of AS (
    SELECT f.entity, f.record_id, f.seq, map(list(f.field), list(f.value)) AS fields
    FROM main.field_changes f
    JOIN main.changes c ON c.seq = f.seq AND c.source = 'setup'
    WHERE (f.entity, f.record_id) IN (SELECT (entity, record_id) FROM mine)
    GROUP BY ALL
),
pairs AS (
    SELECT
        m.*,
        n.fields AS fields,
        arg_max(b.fields, b.seq) AS earlier
    FROM mine m
    LEFT JOIN rows_of n ON n.entity = m.entity AND n.record_id = m.record_id AND n.seq = m.seq
    LEFT JOIN rows_of b ON b.entity = m.entity AND b.record_id = m.record_id AND b.seq < m.seq
    GROUP BY ALL
),
shown AS (SELECT *, coalesce(fields, earlier) AS row FROM pairs WHERE fields IS NOT NULL OR earlier IS NOT NULL),
wanted AS (
    SELECT DISTINCT unnest([
        row['ParentId'], row['PermissionSetId'], row['PermissionSetGroupId'], row['AssigneeId'], row['GroupId'],
        row['UserOrGroupId']
    ]) AS record_id
    FROM shown
),
names AS (
    SELECT f.record_id, arg_max(f.value, (f.seq, CASE f.field WHEN 'Username' THEN 2 WHEN 'DeveloperName' THEN 1 ELSE 0 END)) AS name
    FROM main.field_changes f
    WHERE f.entity IN ('User', 'PermissionSet', 'PermissionSetGroup', 'MutingPermissionSet', 'Group')
      AND f.field IN ('Username', 'Name', 'DeveloperName') AND f.value IS NOT NULL
      AND f.record_id IN (SELECT record_id FROM wanted)
    GROUP BY f.record_id
),
called AS (
    SELECT
        s.*,
        list_filter([
            coalesce(above.name, row['ParentId'], row['GroupId']),
            coalesce(granted.name, row['PermissionSetGroupId']),
            coalesce(held.name, row['PermissionSetId'])
        ], x -> x IS NOT NULL) AS parents,
        coalesce(who.name, row[k.name_column], s.record_id) AS name,
        k.is_versioned
    FROM shown s
    LEFT JOIN batch_kinds k ON k.entity = s.entity
    LEFT JOIN names above ON above.record_id = coalesce(row['ParentId'], row['GroupId'])
    LEFT JOIN names granted ON granted.record_id = row['PermissionSetGroupId']
    LEFT JOIN names held ON held.record_id = row['PermissionSetId']
    LEFT JOIN names who ON who.record_id = coalesce(row['AssigneeId'], row['UserOrGroupId'])
),
moved AS (
    SELECT
        *,
        CASE WHEN entity = 'MetadataComponent' THEN row['Type'] ELSE entity END AS section,
        CASE
            WHEN entity = 'DeployRequest' THEN if(row['CheckOnly'] = 'true', 'validated', 'deployed')
            WHEN kind = 'DELETE' THEN 'deleted' WHEN earlier IS NULL THEN 'created' ELSE 'changed' END AS action,
        list_filter(map_keys(row), f -> f NOT IN ('LastModifiedDate', 'LastModifiedById', 'CreatedDate')
            AND (earlier IS NULL OR fields IS NULL OR earlier[f] IS DISTINCT FROM fields[f])) AS changed,
        concat_ws('.', nullif(array_to_string(parents, '/'), ''),
            CASE WHEN entity = 'PermissionSetGroupComponent' THEN NULL ELSE name END)
            || CASE WHEN is_versioned THEN '-' || coalesce(row['VersionNumber'], '?') ELSE '' END AS full_name
    FROM called
),
told AS (
    SELECT
        -- What goes with what it hung below is told of by the line of that.
        m.seq, arg_max({'user_id': t.user_id, 'at': t."at"}, (contains(t.display, m.name), t."at", t.seq)) AS line
    FROM moved m
    JOIN store.setup_changes t
        ON t.source = 'audit trail'
        AND t."at" BETWEEN m.effective_at - INTERVAL 1 HOUR AND m.effective_at + INTERVAL 5 SECONDS
        AND contains(t.display, coalesce(m.parents[1], m.name))
        AND (
            contains(t.display, m.name)
            OR (m.kind = 'DELETE' AND len(m.parents) > 0 AND regexp_matches(t.display, '(?i)delet|remov'))
        )
    -- It happened since the reading before: an older line is of something else. Lines behind it: `name_setup_facts`.
    WHERE m.user_id IS NULL AND t.seq < m.seq AND epoch_ms(t."at") >= m.since - 5000
    GROUP BY m.seq
)
SELECT
    m.seq, $org, coalesce(t.line.at, m.effective_at), coalesce(m.user_id, t.line.user_id), m.section, m.action,
    CASE WHEN m.entity = 'DeployRequest' THEN
        m.action || ' ' || m.row['NumberComponentsTotal'] || ' components, ' || lower(m.row['Status'])
        || coalesce(': ' || replace(m.row['Components'], chr(10), ', '), '')
    ELSE m.section || ' ' || m.full_name || ' ' || m.action || CASE
        WHEN m.action = 'deleted' THEN ''
        ELSE coalesce(': ' || nullif(array_to_string(list_transform(
            list_filter(m.changed, f -> m.action = 'changed' OR m.fields[f] IN ('true')),
            f -> CASE
                WHEN m.action = 'created' THEN f
                WHEN length(coalesce(m.fields[f], '')) + length(coalesce(m.earlier[f], '')) > 120 THEN f
                ELSE f || ' ' || coalesce(m.earlier[f], 'null') || ' -> ' || coalesce(m.fields[f], 'null')
            END), ', '), ''), '')
    END END,
    m.section || ':' || m.full_name, 'compared'
FROM moved m
LEFT JOIN told t USING (seq)
WHERE (m.action <> 'changed' OR len(m.changed) > 0)
  AND (m.entity <> 'MetadataComponent' OR NOT list_contains((SELECT list(entity) FROM batch_kinds), m.row['Type']))
ORDER BY m.seq;
