-- Whether anything was ever missing: the common answer, and cheap.
SELECT EXISTS (FROM store.coverage WHERE status <> 'live');
