-- What may keep more than order from deciding about a record of an entity (plain.py), and how far its stream is.
SELECT
    (SELECT count(*) FROM store.coverage WHERE status <> 'live') AS stretches,
    (SELECT count(*) FROM store.broad_changes WHERE entity = $entity) AS broad,
    (SELECT count(*) FROM store.channels WHERE channel = '/poll/' || $entity) > 0 AS is_polled,
    (SELECT min(passed_to) FROM answer.stream_of($entity)) AS passed_to;
