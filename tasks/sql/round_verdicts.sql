-- Number of programs of one round by verdict of the sandbox.
--
-- Parameters: $run, $round.
-- Columns: verdict, number.
SELECT verdict, count(*) AS number
FROM executions
WHERE run = $run AND round = $round
  AND sample_id IN (
      SELECT id FROM samples
      WHERE run = $run AND round = $round AND purpose IN ('train', 'imported')
  )
GROUP BY verdict
ORDER BY number DESC, verdict;
