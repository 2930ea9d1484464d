-- How much of what a restore wrote the stream has brought, and whether it has got past the restore's end.
SELECT
    (SELECT count(*) FROM answer.own_of($restore_id)) AS came,
    (SELECT count(*) FROM main.restore_records
        WHERE restore_id = $restore_id AND result IN ('restored', 'partly')) AS written,
    coalesce(
        (SELECT min(passed_to) FROM store.channels WHERE live_from IS NOT NULL)
            > (SELECT finished_at FROM main.restores WHERE restore_id = $restore_id),
        false
    ) AS is_past;
