-- The stretches that hide changes, as the fold needs them.
--
-- Of a range (`is_range`) the events are lost, all of them behind the ordinal `from_ordinal`: what they changed
-- counts somewhere between `starts_at` and `ends_at`. A stretch that is still open hides nothing yet: its
-- channel stands still, and may go on without loss (stopped.sql). Ordinals that had left the log before they
-- were read are a range between ordinals, up to `to_ordinal`.
-- A point is one event, with the ordinal `from_ordinal`, that could not be read; its commit time and those
-- around it may each be off by the margin. A change that is in the
-- journal says by itself what it leaves unknown; its stretch adds nothing here.
CREATE OR REPLACE MACRO answer.holes(e) AS TABLE
WITH ranged AS (
    SELECT
        *,
        was_lost AND record_id IS NULL AS is_range,
        TRY_CAST(regexp_extract(stretch_id, '^ordinals/[0-9]+-([0-9]+)$', 1) AS BIGINT) AS to_ordinal,
        CASE WHEN is_range THEN answer.read_margin() ELSE 2 * answer.read_margin() END AS slack
    FROM answer.stretches(e)
)
SELECT
    record_id, from_at, to_at, from_ordinal, to_ordinal, is_range,
    answer.fold_key(from_ordinal, CASE WHEN is_range THEN 5 ELSE 1 END, 0) AS key,
    from_at - slack AS starts_at,
    coalesce(CASE WHEN is_range THEN to_at ELSE from_at END + slack, 'infinity'::TIMESTAMP) AS ends_at
FROM ranged
WHERE CASE
    WHEN is_range THEN to_at IS NOT NULL OR to_ordinal IS NOT NULL
    ELSE from_ordinal NOT IN (SELECT s.seq FROM store.changes s WHERE s.fold_rank = 0)
END;
