// JSON schemas as kubeconform wants them, a file for each kind, from the OpenAPI document of the Kubernetes sources.
// usage: node schemas.mjs swagger.json FOLDER
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";

const [document, folder] = process.argv.slice(2);
const { definitions } = JSON.parse(readFileSync(document, "utf8"));
// Its definition says string, and a number is taken as well.
definitions["io.k8s.apimachinery.pkg.api.resource.Quantity"] = { type: ["string", "number"] };

/** A definition with every reference put in its place, and no property but those it names. */
function whole(node, within) {
    if (Array.isArray(node)) return node.map((each) => whole(each, within));
    if (node === null || typeof node !== "object") return node;
    if (typeof node.$ref === "string") {
        const name = node.$ref.split("/").pop();
        // What holds itself (a schema of a custom resource) is not followed for ever.
        return within.includes(name) ? {} : whole(definitions[name], [...within, name]);
    }
    if (node.format === "int-or-string") return { type: ["string", "integer"] };
    const copy = {};
    for (const [key, value] of Object.entries(node)) {
        if (key !== "description" && key !== "format" && !key.startsWith("x-")) copy[key] = whole(value, within);
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
        const place = [kind.toLowerCase(), group.split(".")[0], version].filter(Boolean).join("-");
        writeFileSync(`${folder}/${place}.json`, JSON.stringify(whole(definition, [name])));
    }
}
