-- One restore, its latest version.
SELECT * FROM store.restores WHERE restore_id = $restore_id ORDER BY version DESC LIMIT 1;
