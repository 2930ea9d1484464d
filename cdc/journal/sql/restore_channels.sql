-- Where each channel's commit times had come; its position is told by the log.
INSERT INTO store.channels BY NAME
SELECT channel, any_value(org) AS org, max(effective_at) AS max_committed, 0 AS at_seq
FROM store.changes
WHERE fold_rank = 0 AND channel IS NOT NULL
GROUP BY channel;
