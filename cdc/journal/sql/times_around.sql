-- The times from which the events around a place of a channel count: the one before it, the one after it.
SELECT
    epoch_ms(max(effective_at) FILTER (seq < $seq)),
    epoch_ms(min(effective_at) FILTER (seq > $seq))
FROM store.changes
WHERE fold_rank = 0 AND channel = $channel;
