-- First step of making prompts: the texts that a model wrote as questions, one row each.
--
-- A sample's parser has put them into the detail of its score, as a list or as one text. A sample
-- without any is a row too, with the reason: sample_error, not_parsed, or the parser's failure.
-- Of two problems that are the same the first stays: `place` orders by index, then by the sample's
-- seed, which does not depend on the name of the run.
-- Reasons: too_short, too_long, banned_word (in detail.word), same_as_heldout, same_as_earlier (but
-- for case and spaces).
--
-- Reads samples, scores, prompts. Writes the temporary table `items`.
-- Columns: item_id, sample_id, number, prompt_id, text, key, constants, place, reason, detail
-- Parameters:
SET VARIABLE run = 'demo';            -- VARCHAR: the run
SET VARIABLE round = 1;               -- INTEGER: its round
SET VARIABLE role = 'question';       -- VARCHAR: role of the samples
SET VARIABLE turn = 0;                -- INTEGER in [0, inf]: their turn
SET VARIABLE check_name = 'question'; -- VARCHAR: the check of their parser
SET VARIABLE field = 'items';         -- VARCHAR: where in its detail the texts are
SET VARIABLE min_words = 4;           -- INTEGER in [1, inf]: fewest words
SET VARIABLE max_words = 150;         -- INTEGER in [1, inf]: most words
SET VARIABLE banned = '';             -- VARCHAR: a regular expression that no text matches; '' for none
SET VARIABLE question_head = '';      -- VARCHAR: what the environment puts before every question
SET VARIABLE question_tail = '';      -- VARCHAR: what it puts behind

-- A problem without what its environment puts around every question.
CREATE OR REPLACE TEMP MACRO question_of(text) AS CASE
    WHEN starts_with(text, getvariable('question_head'))
        AND ends_with(text, getvariable('question_tail'))
    THEN text[len(getvariable('question_head')) + 1:len(text) - len(getvariable('question_tail'))]
    ELSE text
END;
CREATE OR REPLACE TEMP MACRO key_of(text) AS trim(regexp_replace(lower(text), '\s+', ' ', 'g'));

CREATE OR REPLACE TEMP TABLE items AS
WITH asked AS (
    SELECT
        s.id AS sample_id,
        s.prompt_id,
        s."index",
        s.seed,
        s.status,
        s.error,
        json_extract(s.sampling, '$.constants') AS constants,
        c.detail,
        json_extract(c.detail, '$.' || getvariable('field')) AS found
    FROM samples AS s
    LEFT JOIN scores AS c
        ON c.run = s.run AND c.round = s.round AND c.sample_id = s.id
        AND c."check" = getvariable('check_name')
    WHERE s.run = getvariable('run') AND s.round = getvariable('round') AND s.purpose = 'train'
      AND s.role = getvariable('role') AND s.turn = getvariable('turn')
),
listed AS (
    SELECT
        *,
        CASE
            WHEN detail IS NULL OR detail ->> '$.failure' IS NOT NULL THEN []
            WHEN json_type(found) = 'ARRAY' THEN from_json(found, '["VARCHAR"]')
            WHEN json_type(found) = 'VARCHAR' THEN [found ->> '$']
            ELSE []
        END AS texts
    FROM asked
),
spread AS (
    SELECT * EXCLUDE (texts, found), unnest(range(1, greatest(1, len(texts)) + 1)) AS number, texts
    FROM listed
),
named AS (
    SELECT
        * EXCLUDE (texts),
        sample_id || '/' || number AS item_id,
        regexp_replace(question_of(texts[number]), '^\s+|\s+$', '', 'g') AS text,
        row_number() OVER (ORDER BY "index", seed, sample_id, number) AS place
    FROM spread
),
keyed AS (
    SELECT
        *,
        key_of(text) AS key,
        len(regexp_extract_all(text, '[\p{L}\p{N}]+')) AS num_words,
        regexp_extract(lower(text), nullif(getvariable('banned'), '')) AS banned_word
    FROM named
),
known AS (
    SELECT key_of(question_of(messages[-1].content)) AS key, split = 'heldout' AS is_heldout, min(id) AS id
    FROM prompts
    WHERE split = 'heldout' OR (run = getvariable('run') AND round <= getvariable('round'))
    GROUP BY ALL
),
judged AS (
    SELECT
        k.*,
        CASE
            WHEN k.status <> 'ok' THEN 'sample_error'
            WHEN k.text IS NULL OR k.text = '' THEN coalesce(k.detail ->> '$.failure', 'not_parsed')
            WHEN k.num_words < getvariable('min_words') THEN 'too_short'
            WHEN k.num_words > getvariable('max_words') THEN 'too_long'
            WHEN k.banned_word <> '' THEN 'banned_word'
            WHEN h.key IS NOT NULL THEN 'same_as_heldout'
            WHEN e.key IS NOT NULL THEN 'same_as_earlier'
        END AS reason,
        coalesce(h.id, e.id) AS of
    FROM keyed AS k
    LEFT JOIN known AS h ON h.key = k.key AND h.is_heldout
    LEFT JOIN known AS e ON e.key = k.key AND NOT e.is_heldout
),
copies AS (
    SELECT
        *,
        row_number() OVER one_key AS copy,
        first_value(item_id) OVER one_key AS first_item
    FROM judged
    WINDOW one_key AS (PARTITION BY key, reason IS NULL ORDER BY place)
)
SELECT
    item_id,
    sample_id,
    number,
    prompt_id,
    text,
    key,
    constants,
    place,
    CASE WHEN reason IS NULL AND copy > 1 THEN 'same_as_earlier' ELSE reason END AS reason,
    json_merge_patch('{}', json_object(  -- leaves out what is null
        'item', number,
        'text', text,
        'error', error,
        'words', num_words,
        'word', nullif(banned_word, ''),
        'of', CASE WHEN reason IS NULL AND copy > 1 THEN first_item ELSE of END
    ))::VARCHAR AS detail
FROM copies;
