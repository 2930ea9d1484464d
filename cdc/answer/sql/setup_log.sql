-- Changes of the org's set-up, the newest first, between two times ($since, $until; both may be null), perhaps only
-- those whose component, section or sentence has a text in it ($text, "" for all).
SELECT seq, "at", user_id, section, action, display, component, source
FROM main.setup_changes
WHERE ($since IS NULL OR "at" >= $since::TIMESTAMP) AND ($until IS NULL OR "at" <= $until::TIMESTAMP)
  AND ($text = '' OR contains(lower(concat_ws(' ', component, section, display)), lower($text)))
ORDER BY "at" DESC, seq DESC
LIMIT $limit OFFSET $skip;
