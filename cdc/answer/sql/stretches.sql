-- The latest version of every stretch that is or was missing of an entity: its own, those of its records, and
-- those of its channel.
CREATE OR REPLACE MACRO answer.stretches(e) AS TABLE
WITH latest AS (
    SELECT
        stretch_id,
        arg_max(
            {'channel': channel, 'entity': entity, 'record_id': record_id, 'from_at': from_at, 'to_at': to_at,
             'status': status, 'reason': reason, 'from_ordinal': from_ordinal, 'to_ordinal': to_ordinal},
            version
        ) AS s,
        bool_or(status = 'lost') AS was_lost,
        bool_or(status = 'lost' AND to_at IS NOT NULL) AS ended_lost
    FROM store.coverage
    WHERE status <> 'live'
    GROUP BY stretch_id
)
SELECT
    stretch_id,
    s.channel AS channel,
    nullif(s.entity, '') AS entity,
    nullif(s.record_id, '') AS record_id,
    s.from_at AS from_at,
    s.to_at AS to_at,
    s.status AS status,
    s.reason AS reason,
    s.from_ordinal AS from_ordinal,
    s.to_ordinal AS to_ordinal,
    was_lost,
    ended_lost
FROM latest
WHERE s.entity = e
   OR (
       coalesce(s.entity, '') = ''
       AND (coalesce(s.channel, '') = '' OR s.channel IN (SELECT o.channel FROM answer.stream_of(e) o))
   );
