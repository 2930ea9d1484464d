-- The channels that carry an entity's changes, and the org time each has passed.
-- Its polling if it is polled, the entity's own channel if there is one, else those its changes came on, else every change channel:
-- an entity reachable through two channels is refused at start, so more than one row means "not seen yet".
CREATE OR REPLACE MACRO answer.stream_of(e) AS TABLE
WITH placed AS (
    SELECT
        channel,
        passed_to,
        CASE
            WHEN channel = '/poll/' || e THEN 0
            WHEN channel = '/data/' || regexp_replace(e, '__c$', '__') || 'ChangeEvent' THEN 1
            WHEN channel IN (SELECT s.channel FROM store.entity_channels s WHERE s.entity = e)
                THEN 2
            WHEN starts_with(channel, '/data/') THEN 3
        END AS nearness
    FROM store.channels
)
SELECT channel, passed_to FROM placed QUALIFY nearness = min(nearness) OVER ();
