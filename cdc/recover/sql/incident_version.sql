-- Whether the journal holds a version of an incident yet.
SELECT version FROM store.incidents WHERE incident_id = $incident_id AND version >= $version LIMIT 1;
