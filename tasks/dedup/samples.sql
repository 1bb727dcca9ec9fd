-- First step of dedup: the samples that could become training rows, without their texts.
--
-- With scope 'prompt' only samples of one prompt are compared, with 'round' all of them. Samples
-- that failed are left to the selections.
--
-- Reads samples. Writes the temporary table `pool`, from which every method deletes what it drops,
-- and the empty table `keys` (sample_id, key), which a method fills.
-- Columns: sample_id, prompt_id, scope, place
-- Parameters:
SET VARIABLE run = 'demo';      -- VARCHAR: the run
SET VARIABLE round = 1;         -- INTEGER: its round
SET VARIABLE scope = 'prompt';  -- VARCHAR in {prompt, round}: what is compared with what

CREATE OR REPLACE TEMP TABLE pool AS
SELECT
    id AS sample_id,
    prompt_id,
    CASE getvariable('scope') WHEN 'prompt' THEN prompt_id ELSE '' END AS scope,
    "index" AS place
FROM samples
WHERE run = getvariable('run') AND round = getvariable('round') AND status = 'ok'
  AND purpose IN ('train', 'imported') AND role IN ('answer', 'program');

CREATE OR REPLACE TEMP TABLE keys (sample_id VARCHAR, key VARCHAR);
