-- Whether a stretch hides something of a record, or its channel stands still.
SELECT
    EXISTS (FROM answer.holes($entity) WHERE record_id IS NULL OR record_id = $id)
    OR (SELECT stopped_at FROM answer.stopped($entity)) IS NOT NULL;
