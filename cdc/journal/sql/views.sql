-- Changes about every record of an entity: overflows and wildcard ids. Few, and asked for by every question.
CREATE OR REPLACE VIEW store.broad_changes AS
FROM store.hot_changes WHERE kind = 'GAP_OVERFLOW' OR contains(record_id, '*')
UNION ALL BY NAME
SELECT * EXCLUDE (number) FROM store.sealed_broad;

-- The channels that an entity's events came on.
CREATE OR REPLACE VIEW store.entity_channels AS
SELECT DISTINCT entity, channel FROM store.hot_changes WHERE fold_rank = 0 AND channel IS NOT NULL
UNION
SELECT entity, unnest(channels) FROM store.sealed_entities
UNION
SELECT entity, channel FROM store.elsewhere WHERE entity IS NOT NULL AND channel IS NOT NULL;

-- Every entity of which a change is held.
CREATE OR REPLACE VIEW store.entities AS
SELECT DISTINCT entity FROM store.hot_changes UNION SELECT entity FROM store.sealed_entities
UNION SELECT entity FROM store.elsewhere WHERE entity IS NOT NULL;

-- The public views (contract, section 5), made anew at every open. `state_at`, `record_at` and the views of
-- single entities are added by whoever opens the journal.
CREATE OR REPLACE VIEW main.changes AS
SELECT
    seq, org, entity, record_id, kind, committed_at, effective_at, commit_number, transaction_key,
    sequence_number, user_id, origin, client, event_id, replay_id, schema_id, source, changed_fields,
    nulled_fields, received_at
FROM store.changes;

CREATE OR REPLACE VIEW main.field_changes AS
SELECT seq, org, entity, record_id, field, value, known, committed_at FROM store.fields;

CREATE OR REPLACE VIEW main.platform_events AS
SELECT seq, org, name, event_id, replay_id, created_at, created_by, payload::JSON AS payload
FROM store.platform_events;

CREATE OR REPLACE VIEW main.setup_changes AS
SELECT seq, org, "at", user_id, section, action, display, component, source FROM store.setup_changes;

-- The latest version of each stretch; our own questions also need its channel and its name.
CREATE OR REPLACE VIEW store.coverage_now AS
SELECT
    org, entity, record_id, from_at, to_at, status, reason, evidence, repaired_at, channel, stretch_id
FROM store.coverage
QUALIFY row_number() OVER (PARTITION BY stretch_id ORDER BY version DESC) = 1;

CREATE OR REPLACE VIEW main.coverage AS SELECT * EXCLUDE (channel, stretch_id) FROM store.coverage_now;

-- Every full read of an entity that ended. `position` is the last ordinal recorded before it began.
CREATE OR REPLACE VIEW main.baselines AS
SELECT org, entity, started_at, finished_at, rows, after_ordinal AS position
FROM store.jobs
WHERE state = 'ended' AND len(record_ids) = 0 AND kind IN ('baseline', 'reread');

CREATE OR REPLACE VIEW main.quarantine AS
SELECT
    org, channel, event_id, replay_id, schema_id, received_at, reason, payload, entity, record_ids, decoded_at
FROM store.quarantine
QUALIFY row_number() OVER (PARTITION BY seq ORDER BY decoded_at DESC NULLS LAST) = 1;

-- Each schema, and from which of its events to which it was seen (org time; NULL: no event of it is held).
CREATE OR REPLACE VIEW main.schemas AS
WITH
used AS (
    SELECT schema_id, min(effective_at) AS first_at, max(effective_at) AS last_at, count(*) AS changes
    FROM store.changes
    WHERE fold_rank = 0
    GROUP BY schema_id
),
named AS (
    SELECT schema_id, list(path ORDER BY path) AS fields FROM store.schema_fields GROUP BY schema_id
)
SELECT
    s.schema_id, s.org, s.name, s.entity, s.body::JSON AS schema, u.first_at, u.last_at, coalesce(u.changes, 0) AS changes,
    coalesce(n.fields, []) AS fields
FROM store.schemas s
LEFT JOIN used u USING (schema_id)
LEFT JOIN named n USING (schema_id);

-- When each field of an entity existed, by type: from the first event whose schema has it to the last one, and since
-- when newer schemas are without it (NULL: it is still there). A field that changed its type is two rows.
CREATE OR REPLACE VIEW main.schema_fields AS
WITH
seen AS (
    SELECT s.schema_id, s.org, s.entity, u.first_at, u.last_at
    FROM store.schemas s
    JOIN main.schemas u USING (schema_id)
    WHERE s.entity IS NOT NULL AND u.first_at IS NOT NULL
),
held AS (
    SELECT
        org, entity, path AS field, type, min(first_at) AS first_at, max(last_at) AS last_at,
        list(schema_id ORDER BY first_at, schema_id) AS schema_ids
    FROM seen
    JOIN store.schema_fields USING (schema_id)
    GROUP BY org, entity, path, type
)
SELECT
    h.org, h.entity, h.field, h.type, h.first_at, h.last_at,
    (
        SELECT min(s.first_at)
        FROM seen s
        WHERE s.org = h.org AND s.entity = h.entity AND s.first_at > h.last_at
          AND NOT list_contains(h.schema_ids, s.schema_id)
    ) AS gone_at,
    h.schema_ids
FROM held h;

CREATE OR REPLACE VIEW main.positions AS
SELECT org, channel, replay_id, passed_to, live_from, stored_at, heard_at, standing, trouble FROM store.channels;

CREATE OR REPLACE VIEW main.alerts AS
SELECT * REPLACE (
    kinds::JSON AS kinds, actors::JSON AS actors, targets::JSON AS targets, samples::JSON AS samples,
    evidence::JSON AS evidence, setup_before::JSON AS setup_before
)
FROM store.alerts
QUALIFY row_number() OVER (PARTITION BY alert_id ORDER BY version DESC) = 1;

-- Every incident: the latest version of those that were opened, and one for each alert that none was opened for.
-- Acknowledged by the last decision about its alert that was not taken back.
CREATE OR REPLACE VIEW main.incidents AS
WITH
opened AS (
    SELECT * FROM store.incidents
    QUALIFY row_number() OVER (PARTITION BY incident_id ORDER BY version DESC) = 1
),
decided AS (SELECT alert_id, min(decided_at) AS opened_at FROM store.alerts GROUP BY alert_id),
acknowledged AS (
    SELECT alert_id, by_whom, "at"
    FROM store.decisions
    WHERE kind IN ('ack', 'unack')
    QUALIFY row_number() OVER (PARTITION BY alert_id ORDER BY "at" DESC, seq DESC, kind) = 1 AND kind = 'ack'
)
SELECT
    coalesce(o.incident_id, a.alert_id) AS incident_id, coalesce(o.org, a.org) AS org,
    coalesce(o.alert_id, a.alert_id) AS alert_id, coalesce(o.title, a.title) AS title, a.severity AS severity,
    CASE
        WHEN o.state = 'closed' THEN 'closed'
        WHEN o.state IS NULL AND a.state = 'closed' THEN 'closed'
        WHEN a.state = 'merged' THEN 'merged'
        WHEN k.by_whom IS NOT NULL THEN 'acknowledged'
        ELSE 'open'
    END AS state,
    coalesce(o.opened_at, d.opened_at) AS opened_at, a.first_change_at AS first_change_at,
    a.last_change_at AS last_change_at, k.by_whom AS acknowledged_by, k."at" AS acknowledged_at,
    o.note AS note, o.contained_at AS contained_at, o.scope::JSON AS scope
FROM main.alerts a
FULL JOIN opened o ON o.alert_id = a.alert_id
LEFT JOIN decided d ON d.alert_id = a.alert_id
LEFT JOIN acknowledged k ON k.alert_id = a.alert_id;

CREATE OR REPLACE VIEW main.restores AS
SELECT * EXCLUDE (version) REPLACE (counts::JSON AS counts) FROM store.restores
QUALIFY row_number() OVER (PARTITION BY restore_id ORDER BY version DESC) = 1;

-- What was written, record by record, with what became of it; an intention without a result has none yet.
CREATE OR REPLACE VIEW main.restore_records AS
WITH latest AS (
    SELECT * FROM store.restore_records
    QUALIFY row_number() OVER (PARTITION BY restore_id, entity, record_id, kind ORDER BY version DESC, written_at DESC) = 1
),
written AS (
    SELECT restore_id, entity, record_id, kind, arg_max(fields, written_at) AS fields
    FROM store.restore_records
    WHERE version = 1
    GROUP BY ALL
)
SELECT latest.* EXCLUDE (version, fields), written.fields AS fields
FROM latest LEFT JOIN written USING (restore_id, entity, record_id, kind);

CREATE OR REPLACE VIEW main.drills AS
SELECT * FROM store.drills;

-- The chain of seals. `is_live`: its rows are read from its own files, not from those of one that replaced it.
CREATE OR REPLACE VIEW main.seals AS
SELECT
    lpad(number::VARCHAR, 6, '0') AS segment, org, kind, first_seq, last_seq, rows, field_rows, first_committed_at,
    last_committed_at, sha256, previous_sha256, signature, sealed_at, replaces,
    rows > 0 AND number NOT IN (SELECT unnest(replaces) FROM store.seals) AS is_live
FROM store.seals;

-- What was erased, without what it was: tombstones.
CREATE OR REPLACE VIEW main.erasures AS
SELECT erasure_id, org, entity, len(record_ids_sha256) AS records, asked_by, reason, erased_at, changes, "values",
    elsewhere, gone_from_log_at
FROM store.erasures;
