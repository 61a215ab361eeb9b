// Writes JSON schemas for kubeconform, one file for each kind, from the OpenAPI document of the Kubernetes
// sources.
// usage: node schemas.mjs swagger.json FOLDER
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";

const [document, folder] = process.argv.slice(2);
const { definitions } = JSON.parse(readFileSync(document, "utf8"));
// Defined as a string; the API server also accepts a number.
definitions["io.k8s.apimachinery.pkg.api.resource.Quantity"] = { type: ["string", "number"] };

/** Returns a definition with every reference resolved and without additional properties. */
function resolved(node, within) {
    if (Array.isArray(node)) return node.map((each) => resolved(each, within));
    if (node === null || typeof node !== "object") return node;
    if (typeof node.$ref === "string") {
        const name = node.$ref.split("/").pop();
        // A recursive definition (the schema of a custom resource) is cut off.
        return within.includes(name) ? {} : resolved(definitions[name], [...within, name]);
    }
    if (node.format === "int-or-string") return { type: ["string", "integer"] };
    const copy = {};
    for (const [key, value] of Object.entries(node)) {
        if (key !== "description" && key !== "format" && !key.startsWith("x-")) copy[key] = resolved(value, within);
    }
    if (node.properties !== undefined) {
        copy.additionalProperties ??= false;
    }
    return copy;
}

mkdirSync(folder, { recursive: true });
for (const [name, definition] of Object.entries(definitions)) {
    for (const { group, version, kind } of definition["x-kubernetes-group-version-kind"] ?? []) {
        if (definition.properties === undefined || kind.endsWith("List")) continue;
        const file = [kind.toLowerCase(), group.split(".")[0], version].filter(Boolean).join("-");
        writeFileSync(`${folder}/${file}.json`, JSON.stringify(resolved(definition, [name])));
    }
}
