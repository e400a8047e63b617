// Checks a template with @aws/cloudformation-validate: node infra/validate/validate.mjs template.yaml [Name=Value ...]
//
// Name=Value gives a parameter its value: the package takes a default of "" for the value of a property, even where a
// condition keeps it from being used.
//
// The package's interface changes between its versions, so this file alone knows it. It is fetched once, by the user's
// npm settings, at a pinned version and integrity, into the cache folder that infra/local uses too. A finding of the
// severity WARN or above fails the check, and so does an analysis that it could not finish.

import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { homedir, platform } from "node:os";
import { join } from "node:path";

const name = "@aws/cloudformation-validate";
const version = "1.9.0-beta";
const integrity = "sha512-y7mFIu3ne6KuygYT8D95+M6dW7P0PeNqqcUZofYB2aAMaz9mIcqHoeQRY8HeM9GOjGCVSwp+MVPPLnuC5bcnyA==";

function cacheFolder() {
  if (process.env.ALIQUOT_CACHE) return process.env.ALIQUOT_CACHE;
  const user = platform() === "darwin" ? join(homedir(), "Library", "Caches") : process.env.XDG_CACHE_HOME || join(homedir(), ".cache");
  return join(user, "aliquot");
}

// load returns the package, fetching it when the cache does not have it. What npm installed must be what is pinned.
function load() {
  const dir = join(cacheFolder(), `cloudformation-validate-${version}`);
  if (!existsSync(join(dir, "node_modules", name, "package.json"))) {
    mkdirSync(dir, { recursive: true });
    execFileSync("npm", ["install", "--prefix", dir, "--ignore-scripts", "--no-audit", "--no-fund", "--no-save", `${name}@${version}`], {
      stdio: ["ignore", "ignore", "inherit"],
    });
  }
  const lock = JSON.parse(readFileSync(join(dir, "node_modules", ".package-lock.json"), "utf8"));
  const got = lock.packages[`node_modules/${name}`].integrity;
  if (got !== integrity) {
    rmSync(dir, { recursive: true });
    throw new Error(`${name}@${version} has integrity ${got}, want ${integrity}`);
  }
  return createRequire(join(dir, "node_modules", "x.js"))(name);
}

const [path, ...settings] = process.argv.slice(2);
const { RegoEngine, TemplateFile } = load();
const engine = new RegoEngine();
const report = engine.validateStandard(new TemplateFile(path), {
  severityLevel: "WARN",
  parameterOverrides: Object.fromEntries(settings.map((s) => s.split(/=(.*)/s, 2))),
});
for (const d of report.diagnostics) {
  console.log(`${path}:${d.startLine ?? 0}: ${d.severity} ${d.ruleId}: ${d.message}`);
}
if (report.status !== "OK") console.log(`${path}: the analysis ended with ${report.status}`);
engine.free();
process.exit(report.status === "OK" && report.diagnostics.length === 0 ? 0 : 1);
