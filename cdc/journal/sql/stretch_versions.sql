-- Every version of a stretch: number, place, and what it says, times as microseconds.
SELECT
    version, seq, channel, entity, record_id, epoch_us(from_at), epoch_us(to_at), status, reason, evidence,
    from_ordinal, to_ordinal, epoch_us(repaired_at)
FROM store.coverage
WHERE stretch_id = $stretch_id
ORDER BY version;
