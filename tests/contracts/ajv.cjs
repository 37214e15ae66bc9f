// Compile schemas with ajv and tell which instances are valid.
// Input: {"options", "vocabulary", "formats", "schemas", "instances": [[$id, text of the instance], ...]}.
// Output: a list of true and false. Without ajv: the word "missing".
"use strict";

function load(name) {
  try {
    return require(name);
  } catch (error) {
    if (error.code !== "MODULE_NOT_FOUND") throw error;
    process.stdout.write('"missing"');
    process.exit(0);
  }
}

const Ajv = load("ajv/dist/2020.js").default;
const addFormats = load("ajv-formats").default;
const job = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
const ajv = new Ajv(job.options);
if (job.formats) addFormats(ajv);
ajv.addVocabulary(job.vocabulary);
for (const schema of job.schemas) ajv.addSchema(schema);
for (const schema of job.schemas) ajv.getSchema(schema.$id);
const verdicts = job.instances.map(([id, text]) => ajv.getSchema(id)(JSON.parse(text)));
process.stdout.write(JSON.stringify(verdicts));
