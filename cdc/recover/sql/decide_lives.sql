-- What is to be done about records the incident created, deleted or brought back. `entities`: entity,
-- undeletable, createable, deletable. `$delete_created`: whether what it created is to be deleted.
-- `now` of a delete is when the record was last modified, in epoch ms: one worked on since is left alone.
SELECT
    l.entity, l.record_id,
    CASE
        WHEN l.is_new OR l.kind = 'UNDELETE' THEN 'DELETE'
        WHEN p.record_id IS NULL OR (p.is_deleted AND NOT e.undeletable) THEN 'CREATE'
        ELSE 'UNDELETE'
    END AS action,
    NULL::VARCHAR AS field,
    CASE WHEN action = 'DELETE' THEN 'absent' ELSE 'present' END AS before,
    CASE WHEN action = 'DELETE' THEN 'present' ELSE 'deleted' END AS bad,
    CASE
        WHEN p.record_id IS NULL THEN 'gone'
        WHEN p.is_deleted THEN 'deleted'
        WHEN action = 'DELETE' THEN coalesce(p.modified::VARCHAR, 'present')
        ELSE 'present'
    END AS now,
    CASE
        WHEN action = 'DELETE' AND (p.record_id IS NULL OR p.is_deleted) THEN 'already'
        WHEN action = 'DELETE' AND l.later_changes > 0 THEN 'conflict'
        WHEN action = 'DELETE' AND NOT $delete_created THEN 'left'
        WHEN action = 'DELETE' AND NOT e.deletable THEN 'impossible'
        WHEN action = 'DELETE' THEN 'revert'
        WHEN NOT p.is_deleted THEN 'already'
        WHEN action = 'CREATE' AND NOT e.createable THEN 'impossible'
        ELSE 'revert'
    END AS decision,
    CASE
        WHEN decision = 'already' AND action = 'DELETE' THEN 'is gone already'
        WHEN decision = 'already' THEN 'is back already'
        WHEN decision = 'conflict' THEN 'changed since by ' || coalesce(l.later_user, 'somebody')
        WHEN decision = 'left' THEN 'created by the incident: deleted only if asked (--delete-created)'
        WHEN decision = 'impossible' AND action = 'DELETE' THEN 'the restoring user may not delete it'
        WHEN decision = 'impossible' THEN 'gone from the Recycle Bin, and the restoring user may not create it'
        WHEN action = 'UNDELETE' AND p.master_id IS NOT NULL
            THEN 'merged into ' || p.master_id || ': comes back, and what followed it is pointed back'
        WHEN action = 'CREATE' THEN 'gone from the Recycle Bin: created again under a new id'
        ELSE ''
    END AS reason
FROM lives l
LEFT JOIN present p ON p.entity = l.entity AND p.record_id = l.record_id
LEFT JOIN entities e ON e.entity = l.entity
WHERE NOT (l.is_new AND l.kind = 'DELETE');
