-- The stretches that hide changes, as the fold needs them.
--
-- A stretch with `to_ordinal` is known by its place: an event that could not be read has that ordinal, ordinals
-- that left the log before they were read end there, and what a verification found had happened by then. Whatever
-- was read behind that place holds it. A change that is in the journal says by itself what it leaves unknown; its
-- stretch adds nothing here.
-- Without one, events of a range of time are lost, all of them behind the ordinal `from_ordinal`. Such a stretch
-- that is still open hides nothing yet: its channel stands still, and may go on without loss (stopped.sql); one that
-- ended so never hid anything.
-- What is hidden counts somewhere between `starts_at` and `ends_at`; the commit time of one event and those around
-- it may each be off by the margin.
CREATE OR REPLACE MACRO answer.holes(e) AS TABLE
WITH ranged AS (
    SELECT
        *,
        CASE WHEN was_lost THEN answer.read_margin() ELSE 2 * answer.read_margin() END AS slack
    FROM answer.stretches(e)
),
-- Those of the ordinals asked about that are held: looked up by number, since building a set of all of them is not.
held AS (
    SELECT s.seq
    FROM (SELECT DISTINCT to_ordinal FROM ranged WHERE NOT was_lost AND to_ordinal IS NOT NULL) r
    JOIN store.changes s ON s.seq = r.to_ordinal
    WHERE s.fold_rank = 0
)
SELECT
    record_id, from_at, to_at, from_ordinal, to_ordinal,
    CASE WHEN was_lost THEN from_ordinal ELSE coalesce(to_ordinal, from_ordinal) END AS behind_ordinal,
    answer.fold_key(coalesce(to_ordinal, from_ordinal), CASE WHEN to_ordinal IS NULL THEN 5 ELSE 1 END, 0) AS key,
    from_at - slack AS starts_at,
    coalesce(CASE WHEN was_lost THEN to_at ELSE from_at END + slack, 'infinity'::TIMESTAMP) AS ends_at
FROM ranged
WHERE CASE
    WHEN to_ordinal IS NULL THEN to_at IS NOT NULL AND (ended_lost OR NOT was_lost)
    WHEN was_lost THEN true
    ELSE to_ordinal NOT IN (SELECT seq FROM held)
END;
