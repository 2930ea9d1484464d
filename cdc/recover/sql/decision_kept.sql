-- Whether a decision about an alert was read by the journal.
SELECT 1 FROM store.decisions WHERE kind = $kind AND alert_id = $alert_id AND epoch_ms("at") = $at LIMIT 1;
