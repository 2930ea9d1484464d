-- Whether the journal holds a version of a restore yet.
SELECT version FROM store.restores WHERE restore_id = $restore_id AND version >= $version LIMIT 1;
