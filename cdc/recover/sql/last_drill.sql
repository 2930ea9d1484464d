-- When the last drill began, good or not, in epoch ms.
SELECT epoch_ms(max(started_at)) FROM main.drills WHERE kind = $kind;
