-- Every answer that weights gave to held-out problems, in any run, one row per sample.
--
-- Parameter: $weight_hash. Samples that the engine or sandbox failed on are left out.
-- Columns: run, suite (its name), prompt_id, is_greedy, is_correct.
SELECT
    s.run,
    coalesce(p.suite, p.environment) AS suite,
    s.prompt_id,
    coalesce(TRY_CAST(json_extract_string(s.sampling, '$.temperature') AS DOUBLE) = 0, FALSE)
        AS is_greedy,
    r.value >= 1 AS is_correct
FROM samples AS s
JOIN (
    SELECT DISTINCT run, id, environment, suite FROM prompts WHERE split = 'heldout'
) AS p ON p.id = s.prompt_id AND p.run = s.run
JOIN scores AS r
    ON r.sample_id = s.id AND r.run = s.run AND r."check" = 'reference' AND r.status = 'ok'
WHERE s.weight_hash = $weight_hash AND s.purpose = 'evaluate' AND s.status = 'ok'
ORDER BY suite, s.run, s.prompt_id, is_greedy DESC, s.round, s.index
