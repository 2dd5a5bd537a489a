/** The part of JSON Schema that zod writes for a model's answer. */
export interface JsonSchema {
  type?: string;
  enum?: unknown[];
  const?: unknown;
  properties?: Record<string, JsonSchema>;
  items?: JsonSchema;
  anyOf?: JsonSchema[];
  minimum?: number;
  maximum?: number;
  minItems?: number;
}

/** A value that satisfies the schema; where a property's name is among the `known` values, that one. */
export function fromSchema(schema: JsonSchema, known: Record<string, unknown>): unknown {
  if ('const' in schema) return schema.const;
  if (schema.enum) return schema.enum[0];
  if (schema.anyOf?.[0]) return fromSchema(schema.anyOf[0], known);
  switch (schema.type) {
    case 'object':
      return Object.fromEntries(
        Object.entries(schema.properties ?? {}).map(([name, property]) => {
          const value = known[name];
          return [name, value !== undefined && fits(value, property) ? value : fromSchema(property, known)];
        }),
      );
    case 'array':
      return Array.from({ length: Math.max(1, schema.minItems ?? 1) }, () => fromSchema(schema.items ?? {}, known));
    case 'number':
    case 'integer':
      return schema.minimum ?? schema.maximum ?? 0;
    case 'boolean':
      return false;
    case 'null':
      return null;
    case 'string':
    case undefined:
    default:
      return 'simulated';
  }
}

function fits(value: unknown, schema: JsonSchema): boolean {
  if (schema.enum) return schema.enum.includes(value);
  if (schema.type === 'array') return Array.isArray(value);
  if (schema.type === 'integer') return Number.isInteger(value);
  return schema.type === undefined || typeof value === schema.type;
}
