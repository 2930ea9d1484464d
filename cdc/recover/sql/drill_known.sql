-- Whether the journal holds a drill yet.
SELECT drill_id FROM store.drills WHERE drill_id = $drill_id LIMIT 1;
