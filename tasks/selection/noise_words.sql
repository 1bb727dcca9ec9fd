-- Filter: drops samples whose text has words that no answer has (SELF-GUIDE's noise filter, arXiv
-- 2407.12874).
--
-- `noise` is a regular expression (RE2); it is searched for anywhere in the text, in any case of
-- letters. The default finds a model that talks about itself, and the frame of its own prompt.
-- Reasons: noise.
--
-- Reads candidates, samples. Writes the temporary table `dropped`.
-- Table: candidates
-- References: no
-- After: candidates.sql
-- Columns: sample, reason
-- Parameters:
SET VARIABLE noise = 'as an ai|language model|i cannot|i can''t|\[input\]|\[output\]';  -- VARCHAR: what is noise

CREATE OR REPLACE TEMP TABLE dropped AS
SELECT c.sample, 'noise' AS reason
FROM candidates AS c
JOIN samples AS s ON s.id = c.sample_id
WHERE s.run = getvariable('run') AND s.round = getvariable('round')
  AND regexp_matches(lower(s.text), getvariable('noise'));
