-- The problems of the round for one agent of several: each draws by seeds of its own.
-- Variables: agent (its name).
-- Columns: prompt_id, variant (the agent), messages
SELECT id AS prompt_id, coalesce(getvariable('agent'), '') AS variant, messages
FROM prompts
WHERE run = getvariable('run') AND round = getvariable('round') AND split = 'train'
