-- Where channels are now, in place.
UPDATE store.channels AS c
SET
    replay_id = n.replay_id, passed_to = n.passed_to, live_from = n.live_from, stored_at = n.stored_at,
    max_committed = n.max_committed, at_seq = n.at_seq, heard_at = n.heard_at, standing = n.standing,
    trouble = n.trouble
FROM new_rows n
WHERE n.channel = c.channel;
