// The types of ws 8 are those of @types/ws.

export { default } from 'ws';
export * from 'ws';
