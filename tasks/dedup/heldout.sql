-- Samples of prompts that share a run of words with a held-out prompt.
--
-- A held-out prompt is one with split 'heldout', of any run and round. Words are letters and digits,
-- without case. A prompt is contaminated if it has num_words words in a row (all words of a held-out
-- prompt that has fewer, but at least 5) in common with a held-out prompt; runs of words that more
-- than max_common of the held-out prompts have are the template, and don't count.
-- Source: 13-gram overlap, GPT-3, arXiv 2005.14165, appendix C.
--
-- Reads pool, prompts. Writes the temporary table `dropped`.
-- Columns: sample_id, detail
-- Parameters, besides run and round (samples.sql):
SET VARIABLE num_words = 13;    -- INTEGER in [5, 50]: words in a row
SET VARIABLE max_common = 0.1;  -- DOUBLE in [0, 1]: share of held-out prompts that makes a template

CREATE OR REPLACE TEMP MACRO words_of(messages) AS string_split(trim(regexp_replace(
    lower(array_to_string(list_transform(messages, lambda m: m.content), ' ')),
    '[^\p{L}\p{N}]+', ' ', 'g'
)), ' ');
CREATE OR REPLACE TEMP MACRO runs_of(words, num) AS list_transform(
    range(1, len(words) - num + 2), lambda i: hash(array_to_string(words[i:i + num - 1], ' '))
);

CREATE OR REPLACE TEMP TABLE heldout_runs AS
WITH heldout AS (
    SELECT min(id) AS id, words_of(messages) AS words
    FROM prompts
    WHERE split = 'heldout'
    GROUP BY words
),
runs AS (
    SELECT
        id,
        least(len(words), getvariable('num_words')) AS size,
        unnest(list_distinct(runs_of(words, least(len(words), getvariable('num_words'))))) AS run
    FROM heldout
    WHERE len(words) >= 5
)
SELECT run, size, min(id) AS id
FROM runs
GROUP BY run, size
HAVING count(*) <= greatest(2, getvariable('max_common') * (SELECT count(*) FROM heldout));

CREATE OR REPLACE TEMP TABLE dropped AS
WITH asked AS (
    SELECT id, words_of(messages) AS words
    FROM prompts
    WHERE run = getvariable('run') AND round = getvariable('round') AND split <> 'heldout'
      AND id IN (SELECT prompt_id FROM pool)
),
asked_runs AS (
    SELECT a.id, z.size, unnest(runs_of(a.words, z.size)) AS run
    FROM asked AS a
    CROSS JOIN (SELECT DISTINCT size FROM heldout_runs) AS z
),
contaminated AS (
    SELECT a.id, min(h.id) AS heldout_id, count(*) AS num_runs
    FROM asked_runs AS a
    JOIN heldout_runs AS h ON h.run = a.run AND h.size = a.size
    GROUP BY a.id
)
SELECT
    p.sample_id,
    json_object('heldout_prompt', c.heldout_id, 'shared_runs', c.num_runs)::VARCHAR AS detail
FROM pool AS p
JOIN contaminated AS c ON c.id = p.prompt_id;
