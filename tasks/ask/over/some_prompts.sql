-- Some of the problems that the round is about, whichever: a sample of them to try settings on.
-- Variables: num_problems (all where it is null).
-- Columns: prompt_id, messages
SELECT id AS prompt_id, messages
FROM prompts
WHERE run = getvariable('run') AND round = getvariable('round') AND split = 'train'
QUALIFY row_number() OVER (ORDER BY md5(id)) <= coalesce(getvariable('num_problems'), count(*) OVER ())
