-- How far everything is, one row a part, in the terms a person asks in. $now is the wall clock, which tells a
-- quiet channel (it speaks, and there is nothing to say) from a dead one (neither event nor keepalive for 300 s).
-- $setup: the kinds of set-up, which are told in one row.
WITH
setup AS (
    SELECT
        channel, substr(channel, 7) AS entity, passed_to,
        coalesce(try_cast(regexp_extract(trouble, '(\d+) API calls a day', 1) AS BIGINT), 0) AS calls_a_day
    FROM store.channels
    WHERE starts_with(channel, '/poll/') AND list_contains($setup, substr(channel, 7))
),
setup_rows AS (
    SELECT s.entity, count(DISTINCT c.record_id) AS records
    FROM setup s
    LEFT JOIN store.changes c ON c.entity = s.entity AND c.source = 'setup'
    GROUP BY s.entity
),
-- How many seconds of the org's time a channel takes in one of ours, by what came in the last minute.
pace AS (
    SELECT
        channel,
        (epoch(max(effective_at)) - epoch(min(effective_at))) / (epoch(max(received_at)) - epoch(min(received_at))) AS speed
    FROM store.changes
    WHERE fold_rank = 0 AND received_at >= $now::TIMESTAMP - INTERVAL 60 SECOND
    GROUP BY channel
    HAVING max(received_at) >= min(received_at) + INTERVAL 1 SECOND
),
channels AS (
    SELECT
        channel, passed_to,
        -- stored_at is when the position was obtained, less what the channel was behind the org then.
        CASE WHEN coalesce(standing, '') = 'live' AND heard_at > stored_at + INTERVAL 60 SECOND THEN
            (epoch(heard_at) - epoch(stored_at))::BIGINT
        END AS behind_s,
        CASE WHEN behind_s IS NOT NULL AND speed > 1.05 THEN ceil(behind_s / (speed - 1))::BIGINT END AS left_s,
        CASE
            WHEN standing = 'off' THEN 'off'
            WHEN starts_with(channel, '/poll/') THEN 'polled'
            WHEN heard_at IS NULL AND coalesce(standing, '') IN ('', 'opening', 'live') THEN 'not live yet'
            WHEN standing = 'limited' THEN 'delivery limit reached'
            WHEN standing IN ('retrying', 'stopped') THEN standing
            WHEN heard_at < $now::TIMESTAMP - INTERVAL 300 SECOND THEN 'dead'
            WHEN live_from IS NULL THEN 'not live yet'
            WHEN passed_to > coalesce(max_committed, live_from) + INTERVAL 300 SECOND THEN 'quiet'
            ELSE 'live'
        END AS state,
        concat_ws(
            '; ',
            nullif(trouble, ''),
            CASE WHEN state = 'dead' THEN 'nothing heard for 300 s: is the recorder running?' END,
            CASE WHEN state = 'not live yet' AND coalesce(standing, '') IN ('opening', 'live') THEN 'subscribed; live with the first event or keepalive, within 270 s' END,
            CASE WHEN behind_s IS NOT NULL THEN
                'behind the org by ' || CASE
                    WHEN behind_s >= 5400 THEN round(behind_s / 3600)::BIGINT || ' h'
                    ELSE ceil(behind_s / 60)::BIGINT || ' min'
                END || CASE
                    WHEN left_s >= 5400 THEN ', about ' || round(left_s / 3600)::BIGINT || ' h left at this pace'
                    WHEN left_s >= 90 THEN ', about ' || round(left_s / 60)::BIGINT || ' min left at this pace'
                    WHEN left_s IS NOT NULL THEN ', about ' || left_s || ' s left at this pace'
                    WHEN speed IS NOT NULL THEN ', and not catching up at this pace'
                    ELSE ''
                END
            END,
            'live from ' || strftime(live_from, '%Y-%m-%dT%H:%M:%SZ'),
            'last heard ' || strftime(heard_at, '%Y-%m-%dT%H:%M:%SZ'),
            CASE
                WHEN replay_id IS NOT NULL AND standing <> 'off' THEN
                    'position good for ' || greatest(0, date_sub('hour', $now::TIMESTAMP, stored_at + INTERVAL 72 HOUR)) || ' h'
            END
        ) AS detail
    FROM store.channels
    LEFT JOIN pace USING (channel)
    ANTI JOIN setup USING (channel)
),
entities AS (
    SELECT
        entity,
        count(*) AS changes,
        count(DISTINCT record_id) AS records,
        max(committed_at) FILTER (fold_rank = 0) AS newest
    FROM store.changes
    ANTI JOIN setup USING (entity)
    WHERE entity NOT IN ('MetadataFile', 'MetadataType')  -- what the reading of source keeps beside it
    GROUP BY entity
),
baselines AS (
    SELECT entity, max(finished_at) AS finished_at
    FROM main.baselines
    GROUP BY entity
),
latest_jobs AS (
    SELECT *
    FROM store.jobs
    QUALIFY row_number() OVER (PARTITION BY job_id ORDER BY version DESC) = 1
),
-- Jobs that have not ended, with the time left at their pace so far; failed ones until the same is done by another.
jobs AS (
    SELECT
        job_id, state, started_at,
        CASE
            WHEN state = 'running' AND rows > 0 AND rows_total > rows AND read_to > started_at
            THEN ceil((rows_total - rows) * (epoch(read_to) - epoch(started_at)) / rows)::BIGINT
        END AS seconds_left,
        concat_ws(
            '; ',
            CASE
                WHEN kind = 'schema' THEN 'a schema is asked for, so that events put aside can be read'
                WHEN state = 'running' AND rows = 0 AND starts_with(cursor, 'bulk') THEN 'a bulk job prepares the rows'
                ELSE rows || ' rows' || CASE
                    WHEN rows_total > 0 THEN ' of ' || rows_total || ' (' || least(100, rows * 100 // rows_total) || ' %)'
                    ELSE ''
                END
            END,
            CASE
                WHEN seconds_left >= 5400 THEN 'about ' || round(seconds_left / 3600)::BIGINT || ' h left'
                WHEN seconds_left >= 90 THEN 'about ' || round(seconds_left / 60)::BIGINT || ' min left'
                WHEN seconds_left IS NOT NULL THEN 'about ' || seconds_left || ' s left'
            END,
            CASE WHEN state = 'requested' THEN 'because ' || reason END,
            nullif(error, '')
        ) AS detail
    FROM latest_jobs j
    WHERE state IN ('requested', 'running')
       OR (state = 'failed' AND NOT EXISTS (
            SELECT 1 FROM latest_jobs d
            WHERE d.entity = j.entity AND d.state = 'ended' AND d.seq >= j.seq AND len(d.record_ids) = 0
              AND d.kind IN ('baseline', 'reread')
       ))
)
SELECT part, name, state, as_of, detail
FROM (
    SELECT 1 AS place, 'journal' AS part, coalesce((SELECT any_value(org) FROM store.channels), '') AS name,
        'recorded' AS state, (SELECT greatest(max(passed_to), max(max_committed)) FROM store.channels) AS as_of,
        'ordinal ' || coalesce((SELECT max(ordinal) FROM store.checkpoint), 0) AS detail
    UNION ALL
    SELECT 2, 'channel', channel, state, passed_to, detail
    FROM channels
    UNION ALL
    SELECT 3, 'entity', entity, CASE WHEN finished_at IS NULL THEN 'no baseline' ELSE 'baseline taken' END, newest,
        records || ' records, ' || changes || ' changes'
    FROM entities LEFT JOIN baselines USING (entity)
    UNION ALL
    SELECT 3, 'setup', 'set-up of the org', 'polled', (SELECT min(passed_to) FROM setup),
        count(*) || ' kinds, ' || sum(records) || ' records; about '
        || (SELECT sum(calls_a_day) FROM setup) || ' API calls a day at this pace'
    FROM setup_rows
    HAVING count(*) > 0
    UNION ALL
    SELECT 4, 'job', job_id, state, started_at, detail
    FROM jobs
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
