-- What one model did on the held-out problems it was asked, one row per (problem, sample).
--
-- Parameters: $run, $policy_id, $suite (null: the environment's own held-out problems). Samples that the engine or sandbox failed on are left out.
-- Columns: prompt_id, difficulty, is_greedy, answer (null: none found), is_correct.
SELECT
    s.prompt_id,
    p.difficulty,
    coalesce(TRY_CAST(json_extract_string(s.sampling, '$.temperature') AS DOUBLE) = 0, FALSE)
        AS is_greedy,
    a.label AS answer,
    r.value >= 1 AS is_correct
FROM samples AS s
JOIN (
    SELECT DISTINCT id, difficulty
    FROM prompts
    WHERE run = $run AND split = 'heldout' AND suite IS NOT DISTINCT FROM $suite
) AS p ON p.id = s.prompt_id
JOIN scores AS a ON a.sample_id = s.id AND a."check" = 'answer' AND a.status = 'ok'
JOIN scores AS r ON r.sample_id = s.id AND r."check" = 'reference' AND r.status = 'ok'
WHERE s.run = $run AND s.policy_id = $policy_id AND s.purpose = 'evaluate' AND s.status = 'ok'
  AND a.run = $run AND r.run = $run
ORDER BY s.prompt_id, is_greedy DESC, s.index
