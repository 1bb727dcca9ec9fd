-- The problems that the round is about.
-- Columns: prompt_id, messages, problem (the last message), reference, difficulty
SELECT
    id AS prompt_id,
    messages,
    messages[-1].content AS problem,
    reference,
    difficulty
FROM prompts
WHERE run = getvariable('run') AND round = getvariable('round') AND split = 'train'
