-- The latest version of one alert.
SELECT * FROM main.alerts WHERE alert_id = $alert_id;
