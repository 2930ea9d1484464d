INSERT INTO store.platform_events
SELECT
    ordinal, $org, name, event_id, replay_id, created_at, created_by, payload, schema_id, channel, received_at
FROM batch_platform_events;
