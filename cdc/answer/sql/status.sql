-- How far everything is, one row a part, in the terms a person asks in.
WITH
entities AS (
    SELECT
        entity,
        count(*) AS changes,
        count(DISTINCT record_id) AS records,
        max(committed_at) FILTER (fold_rank = 0) AS newest
    FROM store.changes
    GROUP BY entity
),
baselines AS (
    SELECT entity, max(finished_at) AS finished_at
    FROM main.baselines
    GROUP BY entity
),
jobs AS (
    SELECT job_id, arg_max({'state': state, 'rows': rows, 'total': rows_total, 'at': started_at}, version) AS last
    FROM store.jobs
    GROUP BY job_id
)
SELECT part, name, state, as_of, detail
FROM (
    SELECT 1 AS place, 'journal' AS part, coalesce((SELECT any_value(org) FROM store.channels), '') AS name,
        'recorded' AS state, (SELECT greatest(max(passed_to), max(max_committed)) FROM store.channels) AS as_of,
        'ordinal ' || coalesce((SELECT max(ordinal) FROM store.checkpoint), 0) AS detail
    UNION ALL
    SELECT 2, 'channel', channel, CASE WHEN live_from IS NULL THEN 'not live yet' ELSE 'live' END, passed_to,
        coalesce('live from ' || strftime(live_from, '%Y-%m-%dT%H:%M:%SZ'), '')
    FROM store.channels
    UNION ALL
    SELECT 3, 'entity', entity, CASE WHEN finished_at IS NULL THEN 'no baseline' ELSE 'baseline taken' END, newest,
        records || ' records, ' || changes || ' changes'
    FROM entities LEFT JOIN baselines USING (entity)
    UNION ALL
    SELECT 4, 'job', job_id, last.state, last.at,
        last.rows || ' rows' || CASE WHEN last.total >= 0 THEN ' of ' || last.total ELSE '' END
    FROM jobs
    WHERE last.state <> 'ended'
    UNION ALL
    SELECT 5, 'quarantine', entity, 'kept raw', max(received_at), count(*) || ' events'
    FROM main.quarantine
    WHERE decoded_at IS NULL
    GROUP BY entity
    UNION ALL
    SELECT 6, 'alerts', severity, 'open', max(last_change_at), count(*) || ' alerts'
    FROM main.alerts
    WHERE state IN ('open', 'growing')
    GROUP BY severity
)
ORDER BY place, name;
