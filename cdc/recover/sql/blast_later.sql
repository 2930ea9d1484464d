-- What others did to the touched records after the incident had.
WITH ends AS (SELECT entity, record_id, max(seq) AS seq FROM temp.meant GROUP BY entity, record_id)
SELECT
    c.entity AS entity, count(DISTINCT c.record_id) AS records, count(*) AS changes,
    count(DISTINCT c.user_id) AS users,
    (SELECT count(DISTINCT b.record_id) FROM temp.befores b WHERE b.entity = c.entity AND b.later_seq IS NOT NULL)
        AS records_same_field
FROM main.changes c
JOIN ends e ON e.entity = c.entity AND e.record_id = c.record_id AND c.seq > e.seq
WHERE c.source IN ('pubsub', 'cometd')
GROUP BY c.entity
ORDER BY records DESC;
