// The types are those of @types/ws, since the API is that of ws 8.

export { default } from 'ws';
export * from 'ws';
