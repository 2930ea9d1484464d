-- The newest org time the journal knows.
SELECT greatest(max(passed_to), max(max_committed)) FROM store.channels;
