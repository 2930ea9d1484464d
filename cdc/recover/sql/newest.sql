-- The newest org time any channel has passed or any event carried, in epoch ms.
SELECT epoch_ms(greatest(
    coalesce((SELECT max(passed_to) FROM store.channels), TIMESTAMP '1970-01-01'),
    coalesce((SELECT max(max_committed) FROM store.channels), TIMESTAMP '1970-01-01')
));
