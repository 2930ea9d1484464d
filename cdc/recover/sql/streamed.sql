-- Whether the stream has brought everything a restore wrote, or has got past its end.
SELECT
    (SELECT count(*) FROM answer.own_of($restore_id))
        >= (SELECT count(*) FROM main.restore_records
            WHERE restore_id = $restore_id AND result IN ('restored', 'partly'))
    OR coalesce(
        (SELECT min(passed_to) FROM store.channels WHERE live_from IS NOT NULL)
            > (SELECT finished_at FROM main.restores WHERE restore_id = $restore_id),
        false
    );
