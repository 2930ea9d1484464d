-- What is to be done about each field the incident wrote. `befores`, `lives`, `present`, `present_values`,
-- `described` are tables of the caller; `described`: entity, field, updateable, calculated, custom.
-- In order: what cannot be, what need not be, what somebody has since decided otherwise, what is put back.
WITH
coming_back AS (SELECT entity, record_id FROM lives WHERE kind = 'DELETE' AND NOT is_new)
SELECT
    b.entity, b.record_id, 'UPDATE' AS action, b.field, b.before, b.bad, n.value AS now,
    CASE
        WHEN d.field IS NULL THEN 'impossible'
        WHEN p.record_id IS NULL THEN 'impossible'
        WHEN p.is_deleted AND c.record_id IS NULL THEN 'impossible'
        WHEN NOT b.before_known THEN 'impossible'
        WHEN NOT coalesce(n.known, false) THEN 'impossible'
        WHEN n.value IS NOT DISTINCT FROM b.before THEN 'already'
        WHEN d.calculated OR (NOT d.updateable AND NOT d.custom) THEN 'follows'
        WHEN NOT d.updateable THEN 'impossible'
        WHEN b.later_seq IS NOT NULL THEN 'conflict'
        WHEN NOT b.bad_known OR n.value IS DISTINCT FROM b.bad THEN 'conflict'
        ELSE 'revert'
    END AS decision,
    CASE
        WHEN d.field IS NULL THEN 'the field no longer exists, or the restoring user may not see it'
        WHEN p.record_id IS NULL THEN 'the record is gone from the org altogether'
        WHEN p.is_deleted AND c.record_id IS NULL THEN 'the record has been deleted since'
        WHEN NOT b.before_known THEN 'its value before is not known: ' || b.why
        WHEN NOT coalesce(n.known, false) THEN 'its value now cannot be read'
        WHEN decision = 'already' THEN 'holds the earlier value already'
        WHEN d.calculated THEN 'calculated by the org: follows from other fields'
        WHEN decision = 'follows' THEN 'set by the org itself: follows from other fields'
        WHEN NOT d.updateable THEN 'not writable: give the restoring user edit access to the field'
        WHEN b.later_seq IS NOT NULL
            THEN 'changed since by ' || coalesce(b.later_user, 'somebody') || ' (change ' || b.later_seq || ')'
        WHEN NOT b.bad_known THEN 'what the incident wrote is not known'
        WHEN decision = 'conflict' THEN 'holds a value that is neither the earlier one nor the incident''s'
        ELSE ''
    END AS reason
FROM befores b
LEFT JOIN lives l ON l.entity = b.entity AND l.record_id = b.record_id
LEFT JOIN coming_back c ON c.entity = b.entity AND c.record_id = b.record_id
LEFT JOIN present p ON p.entity = b.entity AND p.record_id = b.record_id
LEFT JOIN present_values n ON n.entity = b.entity AND n.record_id = b.record_id AND n.field = b.field
LEFT JOIN described d ON d.entity = b.entity AND d.field = b.field
LEFT JOIN entities e ON e.entity = b.entity
WHERE NOT coalesce(l.is_new, false)
  -- Made anew, with its values before.
  AND NOT (c.record_id IS NOT NULL AND (p.record_id IS NULL OR (p.is_deleted AND NOT coalesce(e.undeletable, true))));
