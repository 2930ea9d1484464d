-- The org time every live channel has passed, in epoch ms; NULL without any.
SELECT epoch_ms(min(passed_to)) FROM store.channels WHERE live_from IS NOT NULL;
