-- Since when an entity's channel stands still for a reason that somebody has to remove; NULL: it does not.
CREATE OR REPLACE MACRO answer.stopped(e) AS TABLE
SELECT min(s.from_at) AS stopped_at, arg_min(s.reason, s.from_at) AS reason
FROM answer.stretches(e) s
JOIN store.channels c ON c.channel = s.channel
WHERE s.status = 'lost' AND s.to_at IS NULL AND coalesce(c.passed_to <= s.from_at, true);
