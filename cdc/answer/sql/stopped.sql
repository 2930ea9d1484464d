-- Since when an entity's channel stands still, or carries nothing of the entity, for a reason that somebody has to
-- remove; NULL: it does not. A channel that goes on has been repaired; an entity only when its own stretch ends.
CREATE OR REPLACE MACRO answer.stopped(e) AS TABLE
SELECT min(s.from_at) AS stopped_at, arg_min(s.reason, s.from_at) AS reason
FROM answer.stretches(e) s
JOIN store.channels c ON c.channel = s.channel
WHERE s.status = 'lost' AND s.to_at IS NULL 
  AND (s.entity IS NOT NULL OR coalesce(c.passed_to <= s.from_at, true));
