-- Number of programs of one round by verdict of the sandbox.
--
-- Columns: verdict, number.
-- Parameters (edit and run the whole file by hand; round_metrics.py sets its own values):
SET VARIABLE run = 'demo';  -- VARCHAR: the run
SET VARIABLE round = 1;     -- INTEGER: its round

SELECT verdict, count(*) AS number
FROM executions
WHERE run = getvariable('run') AND round = getvariable('round')
  AND len(test_ids) = 0  -- each program once, and not against tests that a model wrote
  AND sample_id IN (
      SELECT id FROM samples
      WHERE run = getvariable('run') AND round = getvariable('round') AND purpose IN ('train', 'imported')
  )
GROUP BY verdict
ORDER BY number DESC, verdict;
