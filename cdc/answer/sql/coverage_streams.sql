-- The channels of an entity, since when each is live, and how far it has passed.
SELECT s.channel, c.live_from, c.passed_to
FROM answer.stream_of($entity) s
JOIN store.channels c USING (channel);
