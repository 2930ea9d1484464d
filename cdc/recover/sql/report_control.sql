-- Controlled change, in numbers: setup changes and seals in the time, and how far the record reaches.
SELECT
    (SELECT count(*) FROM main.setup_changes WHERE "at" BETWEEN $from_at::TIMESTAMP AND $to_at::TIMESTAMP) AS setup_changes,
    (SELECT count(*) FROM main.seals) AS seals,
    (SELECT max(sealed_at) FROM main.seals) AS last_sealed_at,
    (SELECT count(*) FROM main.changes
     WHERE source IN ('pubsub', 'cometd') AND committed_at BETWEEN $from_at::TIMESTAMP AND $to_at::TIMESTAMP) AS changes,
    (SELECT min(live_from) FROM store.channels) AS recorded_since,
    (SELECT count(*) FROM main.coverage WHERE status IN ('lost', 'unknown')) AS stretches_lost_or_unknown;
